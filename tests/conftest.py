"""How long hypothesis searches: HYPOTHESIS_PROFILE=nightly is for a machine that has the time."""

import os

from hypothesis import settings

settings.register_profile(
    "nightly", max_examples=5_000, stateful_step_count=100, deadline=None, print_blob=True
)
if profile := os.environ.get("HYPOTHESIS_PROFILE"):
    settings.load_profile(profile)
