-- The journal of one run, format 1. Stamps are monotonic nanoseconds of the machine, see harness/clock.py.
-- No index on the hot path: readers make what they need in their own temporary tables.

CREATE TABLE IF NOT EXISTS run (
  key   TEXT PRIMARY KEY,             -- format, run, scenario_text, seed, plan, versions, wall_anchor, ...
  value TEXT NOT NULL                 -- JSON
);

CREATE TABLE IF NOT EXISTS events (   -- what the harness did and what it noticed
  id      INTEGER PRIMARY KEY,
  t_ns    INTEGER NOT NULL,
  kind    TEXT NOT NULL,              -- run.started, phase.started, fault.injected, service.exited, ...
  subject TEXT NOT NULL,              -- the phase, the fault, the service
  data    TEXT NOT NULL               -- JSON object
);

CREATE TABLE IF NOT EXISTS requests ( -- the load's own view of each request it meant to send
  id          INTEGER PRIMARY KEY,
  name        TEXT NOT NULL,          -- POST /orders
  intended_ns INTEGER NOT NULL,       -- latency counts from here
  start_ns    INTEGER,                -- NULL: never sent (dropped)
  end_ns      INTEGER,                -- NULL: never finished
  status      INTEGER NOT NULL,       -- 0: no response
  ok          INTEGER NOT NULL,       -- 1: a good outcome by the profile's own rule
  error       TEXT,                   -- dropped, refused, connect_timeout, read_timeout, reset, closed_early, status, other:Name
  bytes       INTEGER NOT NULL,
  trace       TEXT,                   -- W3C trace id, 32 hex digits
  business_key TEXT,                  -- the id of the effect this request asks for
  fallback    TEXT                    -- what the answer says it was made of (headers x-fallback, x-source)
);

CREATE TABLE IF NOT EXISTS wire (     -- the gate's view: one row an HTTP exchange on a link
  id             INTEGER PRIMARY KEY,
  link           TEXT NOT NULL,       -- order->payment
  connection     INTEGER NOT NULL,
  exchange       INTEGER NOT NULL,    -- 1 for the first request on the connection
  method         TEXT,
  path           TEXT,
  trace          TEXT,
  arrived_ns     INTEGER NOT NULL,    -- first byte of the request seen
  forwarded_ns   INTEGER,             -- first byte of it passed on
  head_ns        INTEGER,             -- response head complete
  ended_ns       INTEGER,             -- last byte of the answer passed on, or the end without one
  status         INTEGER NOT NULL,    -- 0: none
  request_bytes  INTEGER NOT NULL,
  response_bytes INTEGER NOT NULL,
  ending         TEXT NOT NULL,       -- answered, refused, reset, closed_early, client_gone, never_answered
  faults         TEXT NOT NULL,       -- names of the gate's own faults that touched it, comma between
  in_flight      INTEGER NOT NULL     -- exchanges open on this link when it arrived, itself included
);

CREATE TABLE IF NOT EXISTS connections (
  id           INTEGER PRIMARY KEY,
  link         TEXT NOT NULL,
  connection   INTEGER NOT NULL,
  protocol     TEXT NOT NULL,         -- http, raw, unknown (no byte was seen)
  opened_ns    INTEGER NOT NULL,
  connected_ns INTEGER,               -- upstream answered the connect
  closed_ns    INTEGER,
  closed_by    TEXT NOT NULL,         -- client, upstream, gate
  ending       TEXT NOT NULL,         -- closed, reset, refused, aborted
  bytes_up     INTEGER NOT NULL,      -- client to upstream
  bytes_down   INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS app_events ( -- what the services say of themselves
  id      INTEGER PRIMARY KEY,
  t_ns    INTEGER NOT NULL,           -- the service's own stamp, put on our clock
  seen_ns INTEGER NOT NULL,           -- when the observer read it
  service TEXT NOT NULL,
  source  TEXT NOT NULL,              -- circuitbreaker, retry, bulkhead, ...
  name    TEXT NOT NULL,              -- the instance: payment
  type    TEXT NOT NULL,              -- STATE_TRANSITION, ERROR, ...
  data    TEXT NOT NULL               -- JSON object: {"stateTransition": "CLOSED_TO_OPEN"}
);

CREATE TABLE IF NOT EXISTS probes (   -- samples an observer took
  id       INTEGER PRIMARY KEY,
  t_ns     INTEGER NOT NULL,
  observer TEXT NOT NULL,             -- actuator, processes, machine, gate
  subject  TEXT NOT NULL,
  ok       INTEGER NOT NULL,          -- 0: the observer got no answer
  data     TEXT NOT NULL              -- JSON object
);

CREATE TABLE IF NOT EXISTS ledger (   -- the effects the services say they hold, read after the load ended
  id           INTEGER PRIMARY KEY,
  ledger       TEXT NOT NULL,         -- orders, payments
  business_key TEXT,
  data         TEXT NOT NULL          -- JSON object, the entry as the service gave it
);
