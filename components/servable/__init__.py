"""The SavedModel: Transform's graph and a Ranker behind the signatures of the contract."""
