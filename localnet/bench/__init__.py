"""bin/bench: how fast the running service is, each figure beside a floor taken in the same run.

docs/benchmarks.md says what each row means. Nothing here is ever asserted in a test: figures are
the machine's as much as the code's, which is why each has its floor.
"""
