"""What several systems begin with: the image, and the step that brings it into a square."""
