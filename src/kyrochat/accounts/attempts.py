"""How often passwords may be tried. Nobody is shut out: who is under attack signs in from an address of his own."""

from contextlib import suppress

from kyrochat.accounts.viewer import Client
from kyrochat.errors import RateLimited
from kyrochat.rates.limits import (
    FAILED_LOGIN,
    FAILED_LOGIN_PER_ACCOUNT,
    LOGIN_PER_ACCOUNT_AND_ADDRESS,
    LOGIN_PER_ADDRESS,
    REGISTER_PER_ADDRESS,
    RESET_PER_ACCOUNT,
)
from kyrochat.rates.service import Rates, network

# While many places guess at one account, each has two attempts instead of ten.
DEAR_FOR_ACCOUNT = 5
# While many places guess at all accounts, each has one attempt a minute instead of twenty.
DEAR_FOR_ADDRESS = LOGIN_PER_ADDRESS.amount


async def charge_attempt(rates: Rates, email: str, client: Client) -> None:
    """Charge an attempt to sign in, whether or not there is such an account.

    Raises:
        RateLimited: too many were made.
    """
    place = network(client.address)
    is_widespread = await rates.remaining(FAILED_LOGIN) == 0
    await rates.charge(LOGIN_PER_ADDRESS, place, cost=DEAR_FOR_ADDRESS if is_widespread else 1)
    is_hunted = await rates.remaining(FAILED_LOGIN_PER_ACCOUNT, email) == 0
    await rates.charge(LOGIN_PER_ACCOUNT_AND_ADDRESS, email, place, cost=DEAR_FOR_ACCOUNT if is_hunted else 1)


async def note_failure(rates: Rates, email: str) -> None:
    """Note that an attempt was wrong."""
    # What is full needs no more: it makes attempts dearer already.
    with suppress(RateLimited):
        await rates.charge(FAILED_LOGIN)
    with suppress(RateLimited):
        await rates.charge(FAILED_LOGIN_PER_ACCOUNT, email)


async def note_success(rates: Rates, email: str, client: Client) -> None:
    """Forget the attempts of somebody who turned out to know the password."""
    await rates.forgive(LOGIN_PER_ACCOUNT_AND_ADDRESS, email, network(client.address))


async def charge_registration(rates: Rates, client: Client) -> None:
    """Charge a new account to where it comes from.

    Raises:
        RateLimited: too many were made there.
    """
    await rates.charge(REGISTER_PER_ADDRESS, network(client.address))


async def charge_reset(rates: Rates, email: str, client: Client) -> None:
    """Charge a mail to somebody who has forgotten a password, whether or not there is such an account.

    Raises:
        RateLimited: too many were asked for.
    """
    await rates.charge(LOGIN_PER_ADDRESS, network(client.address))
    await rates.charge(RESET_PER_ACCOUNT, email)
