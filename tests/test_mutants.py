"""Broken models are dropped into a folder that is served; tests/long has more of them."""
from support.poison import survive_mutants


def test_mutants_hurt_only_themselves(server, tmp_path):
    survive_mutants(server, tmp_path, seed=1, count=60)
