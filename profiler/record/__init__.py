"""What happened: events, the run they fold into, the store that keeps them, the jobs that make them."""
