"""Ranks a user's candidates over gRPC: `python examples/rank.py [HOST:PORT MODEL]`.

Something must serve the model there: TF Serving, or the development server (docs/commands.md). Ids are those of the
log; unknown ones are allowed everywhere. What else can be asked is in docs/client.md.
"""

import sys

from serving.client import RankingClient, RankRequest, Search

address, model = sys.argv[1:] or ("localhost:8500", "lcr_ser_demo")
request = RankRequest(
    user="17",
    rec_items=["203", "118"],  # clicked in recommendations, oldest first
    searches=[Search(words=["4021", "77"], items=["118"])],  # each with what was clicked in its results
    candidates=["203", "41", "350"],
)
with RankingClient(address, model) as client:
    for row in client.rank(request).candidates:
        print(f"{row.rank}. {row.item}  {row.score:.4f}")
