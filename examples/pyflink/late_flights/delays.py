"""The function that TaskManagers run in Python."""

from pyflink.table import DataTypes
from pyflink.table.udf import udf


@udf(result_type=DataTypes.STRING())
def said(minutes: int) -> str:
    """What is said of a delay."""
    return "on time" if minutes <= 0 else f"{minutes // 60}:{minutes % 60:02} h late"
