import sys

import pytest

from scripts.errors import SetupError
from scripts.stages import Stages


def test_a_failing_command_shows_the_end_of_its_log_and_where_it_is(tmp_path, capsys):
    stages = Stages(str(tmp_path / "build" / "setup.log"))
    with pytest.raises(SetupError, match=r"no luck \(exit status 3; the whole log: .*setup\.log\)"):
        stages.run([sys.executable, "-c", "print('the reason'); raise SystemExit(3)"], "no luck")
    assert "the reason" in capsys.readouterr().out


def test_a_stage_is_one_line_with_its_time(tmp_path, capsys):
    stages = Stages(str(tmp_path / "setup.log"))
    with stages.stage("things"):
        stages.run([sys.executable, "-c", "print('detail')"], "no luck")
    assert capsys.readouterr().out == "setup: things ... 0 s\n"
    assert "detail" in stages.tail()
