import pytest

# The comparison of transcripts is an assertion in a helper: without this it would show no difference.
pytest.register_assert_rewrite("tests.client.cli.running")
