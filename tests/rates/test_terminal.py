"""Commands at the terminal are the operator's: nothing limits him."""

from pathlib import Path

from kyrochat.local import opened
from kyrochat.rates.limits import REGISTER_PER_ADDRESS
from kyrochat.setting_values import Switch
from kyrochat.settings import Settings


async def test_who_sits_at_the_terminal_is_not_limited(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", rate_limits=Switch.ON)

    async with opened(settings) as runtime:
        for _ in range(2):
            await runtime.services.rates.charge(REGISTER_PER_ADDRESS, "", cost=REGISTER_PER_ADDRESS.amount)
