"""harness: chaos testing for microservices, with verdicts that had to be earned."""

__version__ = "0.1.0"
