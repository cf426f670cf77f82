from tests.support.log_runs import run_log

__all__ = ["run_log"]
