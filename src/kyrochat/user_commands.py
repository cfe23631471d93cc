"""`kyrochat users …` on the command line."""

from pathlib import Path

import click

from kyrochat.command import data_dir_option, run_command


@click.group()
def users() -> None:
    """Accounts: list them, invite people, help who has forgotten a password, disable, export, delete and so on.

    Works beside running servers, which follow at once. What is done here is in the audit log, as nobody's.
    """


@users.command("list")
@click.option("--email", default="", metavar="PART", help="Only accounts whose e-mail address has PART in it.")
@click.option("--status", type=click.Choice(["active", "disabled"]), help="Only accounts that work, or do not.")
@data_dir_option
def list_users(email: str, status: str | None, data_dir: Path | None) -> None:
    """Print the accounts, newest first: e-mail address, name, when they were last here, and what is special."""
    from kyrochat import users
    from kyrochat.accounts.user_repository import UserStatus

    wanted = UserStatus(status.upper()) if status else None
    run_command(lambda settings: users.list_users(settings, click.echo, email, wanted), data_dir=data_dir, quiet=True)


@users.command("reset-link")
@click.argument("email")
@data_dir_option
def reset_link(email: str, data_dir: Path | None) -> None:
    """Print a link for whoever has forgotten the password of EMAIL. It works once, for 30 minutes.

    Set KYROCHAT_PUBLIC_URL to where people reach the server, or the link leads to this machine.
    """
    from kyrochat import users

    run_command(lambda settings: users.print_reset_link(settings, click.echo, email), data_dir=data_dir, quiet=True)


@users.command()
@click.argument("email")
@data_dir_option
def disable(email: str, data_dir: Path | None) -> None:
    """Shut the account of EMAIL: sessions end, API keys and open sockets stop, and nobody can sign in."""
    from kyrochat import users

    run_command(
        lambda settings: users.set_disabled(settings, click.echo, email, disabled=True), data_dir=data_dir, quiet=True
    )


@users.command()
@click.argument("email")
@data_dir_option
def enable(email: str, data_dir: Path | None) -> None:
    """Open the account of EMAIL again. Its API keys work again too."""
    from kyrochat import users

    run_command(
        lambda settings: users.set_disabled(settings, click.echo, email, disabled=False), data_dir=data_dir, quiet=True
    )


@users.command("make-admin")
@click.argument("email")
@data_dir_option
def make_admin(email: str, data_dir: Path | None) -> None:
    """Make EMAIL an administrator of this server. Administrators take that away again, with `setUserAdmin`."""
    from kyrochat import users

    run_command(lambda settings: users.make_admin(settings, click.echo, email), data_dir=data_dir, quiet=True)


@users.command()
@click.option("--email", help="Only this address may use the link; by default whoever has it.")
@click.option("--days", type=int, default=7, show_default=True, help="How long it is good, 1 to 30.")
@data_dir_option
def invite(email: str | None, days: int, data_dir: Path | None) -> None:
    """Print a link with which one person can make an account, also where registration is by invitation."""
    from kyrochat import users

    run_command(lambda settings: users.invite(settings, click.echo, email, days), data_dir=data_dir, quiet=True)


@users.command()
@click.argument("email")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@data_dir_option
def export(email: str, file: Path, data_dir: Path | None) -> None:
    """Write all data of EMAIL to the new FILE, a ZIP archive: what `exportAccount` gives the person."""
    from kyrochat import users

    run_command(lambda settings: users.export(settings, click.echo, email, file), data_dir=data_dir, quiet=True)


@users.command()
@click.argument("email")
@click.option("--yes", is_flag=True, help="Do not ask.")
@data_dir_option
def delete(email: str, yes: bool, data_dir: Path | None) -> None:
    """Delete the account of EMAIL, with all that is that person's alone, for good: rows, files and vectors."""
    from kyrochat import users

    if not yes:
        click.confirm(f"Nothing of {email} can be brought back. Go on?", abort=True)
    run_command(lambda settings: users.delete(settings, click.echo, email), data_dir=data_dir, quiet=True)
