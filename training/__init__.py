"""Train the networks. Nothing else imports this package."""
