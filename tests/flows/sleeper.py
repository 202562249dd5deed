"""A flow of no other use than to be killed, and the one inside of it."""

import time

from prefect import flow
from pydantic import BaseModel

from flows.orchestration import run_subflow


class Rested(BaseModel):
    seconds: float

    def lines(self) -> list[str]:
        return [f"rested for {self.seconds} seconds"]


@flow(name="nap")
def nap(seconds: float) -> Rested:
    time.sleep(seconds)
    return Rested(seconds=seconds)


@flow(name="sleep")
def sleep(seconds: float) -> Rested:
    return run_subflow(nap, seconds)
