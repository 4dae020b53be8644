"""Made-up but valid values for any pydantic model: what a rehearsal answers.

A first value is drawn from the model's JSON schema. Where the schema says too little (bounds of dates, custom
validators, alias paths) the model's own errors lead to a repair. Nothing is random: a value is a function of
the model, the salt and the place in the model, the same in every process and on every machine.
"""

from .sample import sample as sample

__all__ = ["sample"]
