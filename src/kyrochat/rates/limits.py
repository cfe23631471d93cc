"""Every rate limit there is: how much, in what time, and why that much."""

from dataclasses import dataclass
from enum import Enum

MINUTE_S, HOUR_S = 60, 3_600


class WhenAway(Enum):
    """What a limit does while Redis does not answer."""

    COUNT_HERE = "count in this process"
    ADMIT_ALL = "admit everything"


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `amount` in any `period_s` seconds, counted apart for each subject: an address, an account, a user."""

    name: str
    amount: int
    period_s: int
    when_away: WhenAway = WhenAway.ADMIT_ALL


# A person mistypes a few times, an office behind one address signs in at nine. IPv6: a whole /64 is one address.
LOGIN_PER_ADDRESS = Limit("login-address", 20, MINUTE_S, WhenAway.COUNT_HERE)
# Guesses at one password from one place; signing in gives them back.
LOGIN_PER_ACCOUNT_AND_ADDRESS = Limit("login-account-address", 10, 15 * MINUTE_S, WhenAway.COUNT_HERE)
# Wrong passwords for one account, from anywhere. Beyond it attempts get dearer but are never shut out: otherwise
# anybody could lock anybody out by being wrong a hundred times.
FAILED_LOGIN_PER_ACCOUNT = Limit("login-failed-account", 100, HOUR_S, WhenAway.COUNT_HERE)
# Wrong passwords for all accounts together: many places that each guess a little. Attempts get dearer here too.
FAILED_LOGIN = Limit("login-failed", 1_000, MINUTE_S, WhenAway.COUNT_HERE)
# Each makes a user, a workspace and a hash of a password; nobody makes six accounts in an hour by hand.
REGISTER_PER_ADDRESS = Limit("register-address", 5, HOUR_S, WhenAway.COUNT_HERE)
# A client needs four an hour, one for each access token; ten tabs that share a session need forty.
REFRESH_PER_SESSION = Limit("refresh-session", 60, HOUR_S)
# Each sends a mail to somebody who may not have asked for it.
RESET_PER_ACCOUNT = Limit("reset-account", 3, HOUR_S, WhenAway.COUNT_HERE)
# Each may be an answer that a model is paid for. Nobody types one a second.
MESSAGES_PER_USER = Limit("messages-user", 60, MINUTE_S)
# A key on somebody's server asks for all of his visitors.
MESSAGES_PER_KEY = Limit("messages-key", 600, MINUTE_S)
# A folder of files goes in at two a second, about as fast as they are read.
UPLOADS_PER_USER = Limit("uploads-user", 120, MINUTE_S)
# Each may be two thousand searches; who tries settings starts one every few minutes.
EVALUATIONS_PER_USER = Limit("evaluations-user", 60, HOUR_S)
# An archive may be gigabytes, and takes two: one for its link, one for fetching it.
EXPORTS_PER_USER = Limit("exports-user", 20, HOUR_S)
# A link is opened by a click. Tokens have 256 random bits: this is not about guessing, but about copying.
SHARED_PER_ADDRESS = Limit("shared-address", 120, MINUTE_S)
# Each tab has one and opens it anew after a break; a client that opens more than one every two seconds is broken.
SOCKETS_PER_USER = Limit("sockets-user", 30, MINUTE_S)
# Twenty of the most expensive operations, or five ordinary pages a second.
POINTS_PER_USER = Limit("points-user", 100_000, MINUTE_S)
POINTS_PER_KEY = Limit("points-key", 1_000_000, MINUTE_S)
# Without a sign-in there is little to ask for: signing in costs a few points, introspection a thousand.
POINTS_PER_ADDRESS = Limit("points-address", 20_000, MINUTE_S)

LIMITS = (
    LOGIN_PER_ADDRESS,
    LOGIN_PER_ACCOUNT_AND_ADDRESS,
    FAILED_LOGIN_PER_ACCOUNT,
    FAILED_LOGIN,
    REGISTER_PER_ADDRESS,
    REFRESH_PER_SESSION,
    RESET_PER_ACCOUNT,
    MESSAGES_PER_USER,
    MESSAGES_PER_KEY,
    UPLOADS_PER_USER,
    EVALUATIONS_PER_USER,
    EXPORTS_PER_USER,
    SHARED_PER_ADDRESS,
    SOCKETS_PER_USER,
    POINTS_PER_USER,
    POINTS_PER_KEY,
    POINTS_PER_ADDRESS,
)
