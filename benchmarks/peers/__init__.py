"""Other Python resilience libraries, made comparable. None is a dependency: what cannot be imported is left out."""

INSTALL = "circuitbreaker==2.1.3 interlock-cb==2.8.2 pybreaker==1.4.1 aiobreaker==1.2.0 purgatory==3.0.1 pyresilience==0.4.1 tenacity==9.2.1"
"""What the figures in the README were measured with."""
