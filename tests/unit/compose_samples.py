"""A small system and a small scenario that are right, to be spoilt line by line."""

from __future__ import annotations

COMPOSE = """\
name: shop
services:
  order:
    command: python -m order --listen 0.0.0.0:8080 --peer stock:9000
    environment:
      PAYMENT_URL: http://payment:8081
      PAIR: user:8082,payment:8081
      OWN: http://order:8080/self
      RATIO: 1.10
      FLAG: true
      DB_HOST: db
      DATA: ${HARNESS_DATA:-/data}/orders
      NAME: ${WHO:-nobody} owes $$5
      FROM_OUTSIDE:
    expose: ["8080"]
    healthcheck: {test: [CMD, curl, -f, "http://localhost:8080/"], interval: 1m30s, timeout: 500ms, retries: 5}
    depends_on: {payment: {condition: service_healthy}}
    stop_grace_period: 3s
    x-harness: {actuator: /actuator, ready: /ready}
  payment:
    image: payment
    entrypoint: [python]
    command: [-m, payment]
    environment: ["A=1", "B=x=y"]
    ports: ["127.0.0.1:80:8081/tcp"]
    working_dir: /app
    x-harness: {process: {working_dir: services}}
  user: {command: user, expose: [8082]}
  stock: {command: stock}
  db: {image: postgres}
  debug: {image: debug, profiles: [debug]}
x-harness:
  entry: order
  links:
    - {from: order, to: db, port: 5432, protocol: raw, variable: DB_HOST}
  profiles:
    checkout:
      requests:
        - {name: POST /orders, weight: 5, json: {user: "{user}"}, key: "{key}", ok: [201, 202]}
        - {name: GET user, method: GET, path: "/users/{user}", to: user}
      data: {user: {integer: [1, 100]}, key: {unique: order}}
  slos:
    - {name: orders-available, indicator: {availability: POST /orders}, objective: {target: 99%}}
    - {name: orders-fast, indicator: {latency: POST /orders}, objective: {op: lte, value: 500ms, target: 99%}}
  ledgers:
    orders: {service: order, path: /ledger, asked_by: POST /orders, acknowledged: [201, 202]}
"""

SCENARIO = """\
# A slow payment is shed.
name: payment-slow
system: compose.yaml
tags: [quick]
with:
  order: {retry.enabled: false, RETRIES: 3}
load:
  profile: checkout
  arrivals: 40/s
timeline:
  - steady: 3s
  - fault: {toxic: latency, link: order->payment, latency: 2s}
    as: slow
    for: 6s
  - fault: {process: kill, service: user}
    as: gone
    at: 4s
  - heal: gone
    at: 6s
  - recovery: 6s
expect:
  - availability: {of: POST /orders, at_least: 99%, during: slow}
  - latency: {of: POST /orders, p99: 500ms, during: slow, after: 3s, except: gone}
  - breaker: {on: order->payment, goes: [closed, open], opens_within: 3s}
  - recovery: {from: slow, slo_regained_within: 4s}
  - effects: {ledger: orders}
  - slo: {named: orders-fast}
  - errors: {only: [status 503, read_timeout]}
outcome: fail
because: latency
"""
