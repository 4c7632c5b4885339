"""Build a day's features with several copies of the code in one Spark application: <day> (<code> <lake>)...

The passes of `build_features` run in Spark's Python workers, which take their code from the folder named to them; a
start of Spark for each copy would cost ten times what the day does.
"""

from __future__ import annotations

import json
import sys

from contracts.days import DayRange, parse_day
from spark_jobs.build_features import build_features
from spark_jobs.session import start_session
from spark_jobs.settings import Settings

if __name__ == "__main__":
    day = parse_day(sys.argv[1])
    spark = start_session("changed code")
    for code, lake in zip(sys.argv[2::2], sys.argv[3::2], strict=True):
        # Workers are reused only for the same environment.
        spark.sparkContext.environment["PYTHONPATH"] = code
        build_features(spark, Settings(lake_uri=lake), DayRange(day, day))
    spark.stop()
    print(json.dumps({"built": len(sys.argv[2::2])}))
