"""A split by time: the latest moments are the test rows, those before them the validation rows.

Rows of one moment stay together, so the parts have about the declared shares; `split_checks`
reports those that result. Other splits belong in `stages.split`.
"""

from factory_resources.sql.engine import identifier


def latest_moments(column: str, test: str, validation: str) -> str:
    """Return SQL for (_order, _part) of every row of `source`.

    A part ends with the moment with which its number of rows is nearest to the wanted one; the
    smaller number is preferred. Each part has at least one moment if there are three.

    Args:
        column: the time.
        test: SQL for the wanted number of test rows, of `n` rows in all.
        validation: the same for the validation rows.
    """
    time = identifier(column)
    return f"""
        WITH rows_at AS (SELECT _order, {time} AS moment FROM source), moments AS (
            SELECT moment, n, sum(rows) OVER (ORDER BY moment DESC) AS upto,
                row_number() OVER (ORDER BY moment) AS place
            FROM (
                SELECT moment, count(*) AS rows, sum(count(*)) OVER () AS n
                FROM rows_at GROUP BY moment
            )
        ), tests AS (
            SELECT upto AS tested FROM moments WHERE place > 2 AND {test} > 0
            ORDER BY abs(upto - {test}), upto LIMIT 1
        ), validations AS (
            SELECT tested, upto AS validated FROM moments, tests
            WHERE upto > tested AND place > 1 AND {validation} > 0
            ORDER BY abs(upto - tested - {validation}), upto LIMIT 1
        )
        SELECT _order, CASE WHEN upto <= tested THEN 'test'
            WHEN upto <= validated THEN 'validation' ELSE 'train' END AS _part
        FROM rows_at JOIN moments ON rows_at.moment IS NOT DISTINCT FROM moments.moment
            LEFT JOIN validations ON true
    """
