"""Air quality at a new station: models of the others, and a few measured hours to choose between them.

    python examples/twelve_stations.py [STATIONS]

Three institutes run the stations (12, or as many as are given) and publish a model of PM2.5 for each but the
last. The last is new: it has its weather and gases, and PM2.5 for 48 hours only.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nodes
import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.metrics import root_mean_squared_error
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skerry.reuse import AutoReuse, Average

INSTITUTES = ("North institute", "East institute", "South institute")
MEASURED_HOURS = 48

air = pd.read_csv(Path(__file__).parent / "data" / "air.csv")
stations = list(air["station"].unique())[-int(sys.argv[1]) if len(sys.argv) > 1 else 0 :]
columns = [name for name in air.columns if name not in ("station", "pm25")]


def rows_of(station: str) -> tuple[pd.DataFrame, pd.Series]:
    """Return the rows of a station, and what was measured."""
    own = air[air["station"] == station]
    return own[columns].astype(float), own["pm25"]


with nodes.market(*INSTITUTES) as networks:
    for number, station in enumerate(stations[:-1]):
        X, y = rows_of(station)
        model = make_pipeline(StandardScaler(), Ridge()).fit(X.to_numpy(), y)
        networks[number % 3].publish(
            model, X.to_numpy(), y, name=f"PM2.5 at {station}", license="Apache-2.0", columns=columns
        )
    nodes.wait_for(networks, learnwares=len(stations) - 1)

    X, y = rows_of(stations[-1])
    few = np.random.default_rng(0).choice(len(X), MEASURED_HOURS, replace=False)
    hits = networks[0].search(X, task="Regression", k=5, timeout=30)
    members = list(hits[:5])
    reuser = AutoReuse(members, requirement=hits.requirement, budget_seconds=10)
    reuser.fit(X.iloc[few], y.iloc[few])
    answers = {
        "nearest": hits[0].estimator(),
        "average": Average(members).fit(X),
        "mix": hits.mix,
        f"chosen by {MEASURED_HOURS} labels ({reuser.report_['chosen']})": reuser,
    }
    for name, estimator in answers.items():
        error = root_mean_squared_error(y, estimator.predict(X))
        print(f"{stations[-1]}: {name:40} RMSE {error:.1f}")
    hits.close()
