"""The web server of the Dagster UI, behind the factory's request guard."""
