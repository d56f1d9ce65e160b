"""Attempts by the libraries that a pipeline uses: SQL, model stores, object storage."""

import os
import tempfile

from factory_resources.boundary.escapes.registry import World, attempt


@attempt("DuckDB fetching an extension")
def duckdb(world: World) -> None:
    import duckdb

    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as engine:
        engine.execute(f"SET extension_directory='{folder}'")
        engine.execute(f"SET custom_extension_repository='http://{world.token}.example.org'")
        engine.execute("FORCE INSTALL httpfs")


@attempt("libpq")
def postgres(world: World) -> None:
    import psycopg2

    psycopg2.connect(
        host=world.address, user=world.token, dbname="x", sslmode="disable", connect_timeout=3
    )


@attempt("object storage by pyarrow")
def object_storage(world: World) -> None:
    from pyarrow import fs

    store = fs.S3FileSystem(
        access_key="a",
        secret_key="b",  # noqa: S106
        endpoint_override=f"{world.address}:80",
        scheme="http",
        connect_timeout=2,
        request_timeout=2,
    )
    store.get_file_info(f"{world.token}/x")


@attempt("MLflow", slow=True)
def mlflow(world: World) -> None:
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    from mlflow import MlflowClient

    MlflowClient(f"http://{world.address}").create_experiment(world.token)


@attempt("torch.hub", slow=True)
def torch_hub(world: World) -> None:
    from torch import hub

    with tempfile.TemporaryDirectory() as folder:
        url = f"http://{world.address}/{world.token}"
        hub.download_url_to_file(url, f"{folder}/x", progress=False)
