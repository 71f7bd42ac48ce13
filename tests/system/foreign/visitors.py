"""People who look at the guest book: an ordinary Locust file."""

from locust import HttpUser, constant, task


class Visitor(HttpUser):
    wait_time = constant(0.2)

    @task
    def visit(self):
        self.client.get("/visits", name="GET /visits")
