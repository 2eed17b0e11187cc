"""The parts of a run's report: what it reads, how it words and draws it, and the page itself."""
