"""What Azure serves: SAS, URLs, answers, and the state of a download."""
