"""Images, masks and boxes as arrays: numpy and OpenCV, nothing else."""
