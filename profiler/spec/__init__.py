"""What is asked: frozen values without behaviour beyond their own arithmetic."""
