"""What comes from outside as text or bytes ends well, or in the one error that is documented."""
