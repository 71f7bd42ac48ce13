"""A long-lived system under load in people's hands: leases, figures, the socket they speak through, what they see."""
