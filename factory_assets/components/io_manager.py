"""Pass tables between a user's own assets: as Parquet files in the home, never pickled."""

from typing import Any

import dagster as dg

from factory_resources.errors import DataError, FactoryError
from factory_resources.home.home import Home
from factory_resources.tables.asset_tables import load_table, path_of, save_table


class TableIOManager(dg.IOManager):
    """Stores pandas, polars and Arrow tables; loads them as the requested or the stored type."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        if obj is None:
            return
        name = context.asset_key.to_user_string()
        try:
            _require_whole(context, name)
            path = path_of(self._home, context.asset_key.path)
            table = save_table(obj, path, name)
        except FactoryError as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        columns = [dg.TableColumn(field.name, str(field.type)) for field in table.schema]
        context.add_output_metadata(
            {
                "dagster/row_count": table.num_rows,
                "dagster/column_schema": dg.TableSchema(columns=columns),
                "dagster/uri": str(path),
            }
        )

    def load_input(self, context: dg.InputContext) -> Any:
        name = context.asset_key.to_user_string()
        requested = getattr(context.dagster_type.typing_type, "__module__", "").partition(".")[0]
        try:
            _require_whole(context, name)
            return load_table(path_of(self._home, context.asset_key.path), name, requested)
        except FactoryError as error:
            raise dg.Failure(str(error), allow_retries=False) from None


def _require_whole(context: dg.OutputContext | dg.InputContext, name: str) -> None:
    # The run may be of a partition while this asset has none.
    if context.has_asset_partitions:
        raise DataError(
            "is in partitions, but a table can only be stored as a whole",
            where=f"asset {name}",
            remedy="leave out partitions_def, or give the asset an io_manager_def of your own",
        )
