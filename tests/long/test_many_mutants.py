"""Hundreds of broken models."""
import pytest

from support.poison import survive_mutants


@pytest.mark.parametrize("seed", range(2, 6))
def test_mutants_hurt_only_themselves(server, tmp_path, seed):
    survive_mutants(server, tmp_path, seed=seed, count=150)
