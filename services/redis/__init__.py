"""
Redis as a cache, with a replica and Sentinels where that is asked for: launchers that run it in the foreground.
"""
