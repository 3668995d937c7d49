"""A small system for tests: how bright an image is, by one network and one Python step."""
