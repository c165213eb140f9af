from locust import HttpUser, between, task


class User(HttpUser):
    wait_time = between(0.5, 2)

    @task
    def complete(self):
        self.client.post(
            "/v1/completions",
            json={
                "model": "mistral-7b",
                "prompt": "Explain what a hot spare is in one sentence.",
                "max_tokens": 64,
                "temperature": 0.7,
            },
        )
