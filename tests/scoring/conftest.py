"""Examples are not timed: a machine that is busy with something else is no defect of ours."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
