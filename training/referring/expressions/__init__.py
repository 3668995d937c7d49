"""Expressions made from annotations: each fits one person of its image and surely nobody else."""
