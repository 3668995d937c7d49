<<<<<<< HEAD
"""Training of the referring system's networks."""
=======
"""Training of the referring networks: the one person whom a text, points or a scribble mean."""
>>>>>>> ref-data-clean
