"""
HAProxy in front of several instances of a service, rendered from environment values and watched through its runtime API.
"""
