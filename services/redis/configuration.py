"""
The words Redis and Sentinel are started with.
"""

from __future__ import annotations

from services.redis.settings import NodeSettings, SentinelSettings, resolved

PRIMARY = "cache"  # what Sentinels call the primary they watch


def node_words(settings: NodeSettings) -> list[str]:
    """
    Options of redis-server. Raises OSError for an announced name that nobody knows. A replica's first copy starts at once (the default waits 5 s for further replicas), and
    stale reads are allowed: this is a cache.
    """
    words = [
        "--bind", settings.host, "--port", str(settings.port), "--dir", str(settings.folder), "--daemonize", "no",
        "--protected-mode", "no", "--save", "", "--appendonly", "yes" if settings.keeps else "no",
        "--appendfsync", "everysec", "--maxmemory", settings.memory,
        "--maxmemory-policy", "noeviction" if settings.keeps else "allkeys-lru",
        "--repl-diskless-sync-delay", "0", "--repl-timeout", "5", "--timeout", "0",
    ]  # fmt: skip
    if (announced := resolved(settings.announced)) is not None:
        host, port = announced
        words += ["--replica-announce-ip", host, "--replica-announce-port", str(port)]
    if settings.replica_of is not None:
        words += ["--replicaof", settings.replica_of[0], str(settings.replica_of[1])]
    return words


def sentinel_file(settings: SentinelSettings) -> str:
    """A Sentinel's own file, which it writes to as well. Raises OSError for a name that nobody knows."""
    host, port = resolved(settings.monitor) or settings.monitor
    lines = [
        f"bind {settings.host}", f"port {settings.port}", f"dir {settings.folder}", "protected-mode no",
        f"sentinel monitor {PRIMARY} {host} {port} {settings.quorum}",
        f"sentinel down-after-milliseconds {PRIMARY} {settings.down_after_ms}",
        f"sentinel failover-timeout {PRIMARY} {settings.failover_timeout_ms}",
        f"sentinel parallel-syncs {PRIMARY} 2",
    ]  # fmt: skip
    if (announced := resolved(settings.announced)) is not None:
        lines += [f"sentinel announce-ip {announced[0]}", f"sentinel announce-port {announced[1]}"]
    return "\n".join(lines) + "\n"
