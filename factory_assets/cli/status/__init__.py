"""`factory status`: what runs, what ran, what comes next, and what needs a person."""
