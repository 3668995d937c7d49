"""Which versions serve: the record of releases, and the configs on disk that follow from it."""
