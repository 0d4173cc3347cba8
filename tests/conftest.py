"""Settings for the whole suite."""

from hypothesis import settings

# The first call of a compiled kernel may take seconds, and a failure should fail again. For a
# search with new examples: pytest --hypothesis-profile=search
settings.register_profile("minicnn", deadline=None, derandomize=True, max_examples=40)
settings.register_profile("search", deadline=None, max_examples=1000)
settings.load_profile("minicnn")

# Programs that run other libraries, which need not be installed here.
collect_ignore_glob = ["oracles/*.py", "benchmarks/*.py"]
