"""What training, conversion, serving and the clients of peopleseg share.

Importing it never imports torch.
"""

__version__ = "0.1.0"
