"""A ledger of accounts in cents: deposits, transfers, limits, fees, statements and reversals."""

from __future__ import annotations


class BankError(ValueError):
    """The bank says no; nothing has changed."""


class Account:
    """One account. ``limit`` is how far it may be overdrawn."""

    def __init__(self, owner: str, limit: int = 0) -> None:
        self.owner = owner
        self.limit = limit
        self.balance = 0
        self.is_closed = False
        self.entries: list[tuple[str, int]] = []


class Bank:
    """Accounts by name. Amounts are positive cents."""

    def __init__(self, fee: int = 0) -> None:
        self.fee = fee
        self.accounts: dict[str, Account] = {}
        self.transfers: list[tuple[str, str, int]] = []

    def open(self, owner: str, limit: int = 0) -> None:
        """Open an account. Raises ``BankError`` when the name is taken or the limit negative."""
        if owner in self.accounts:
            raise BankError(f"{owner} has an account")
        if limit < 0:
            raise BankError("a limit is not negative")
        self.accounts[owner] = Account(owner, limit)

    def account(self, owner: str) -> Account:
        """The account. Raises ``BankError`` when there is none, or it is closed."""
        if owner not in self.accounts or self.accounts[owner].is_closed:
            raise BankError(f"{owner} has no account")
        return self.accounts[owner]

    def deposit(self, owner: str, cents: int) -> int:
        """Pay in. Returns the balance."""
        account = self.account(owner)
        self._check(cents)
        self._book(account, "deposit", cents)
        return account.balance

    def withdraw(self, owner: str, cents: int) -> int:
        """Pay out. Returns the balance. Raises ``BankError`` beyond the limit."""
        account = self.account(owner)
        self._check(cents)
        if account.balance - cents < -account.limit:
            raise BankError(f"{owner} cannot pay {cents}")
        self._book(account, "withdrawal", -cents)
        return account.balance

    def transfer(self, payer: str, payee: str, cents: int) -> int:
        """Move money; the payer pays the fee. Returns the number of the transfer."""
        giver, taker = self.account(payer), self.account(payee)
        self._check(cents)
        if giver is taker:
            raise BankError("payer and payee are the same")
        if giver.balance - cents - self.fee < -giver.limit:
            raise BankError(f"{payer} cannot pay {cents}")
        self._book(giver, f"to {payee}", -cents)
        if self.fee:
            self._book(giver, "fee", -self.fee)
        self._book(taker, f"from {payer}", cents)
        self.transfers.append((payer, payee, cents))
        return len(self.transfers) - 1

    def reverse(self, number: int) -> None:
        """Give a transfer back, once, without the fee. Raises ``BankError``."""
        if not 0 <= number < len(self.transfers):
            raise BankError(f"there is no transfer {number}")
        payer, payee, cents = self.transfers[number]
        if cents == 0:
            raise BankError(f"transfer {number} is reversed already")
        giver, taker = self.account(payer), self.account(payee)
        if taker.balance - cents < -taker.limit:
            raise BankError(f"{payee} cannot give {cents} back")
        self._book(taker, "reversal", -cents)
        self._book(giver, "reversal", cents)
        self.transfers[number] = (payer, payee, 0)

    def add_interest(self, basis_points: int) -> int:
        """Pay interest on positive balances, rounded down. Returns what it cost the bank."""
        paid = 0
        for account in self.accounts.values():
            interest = account.balance * basis_points // 10_000
            if interest > 0 and not account.is_closed:
                self._book(account, "interest", interest)
                paid += interest
        return paid

    def close(self, owner: str) -> int:
        """Close an account. Returns what is paid out. Raises ``BankError`` when it is overdrawn."""
        account = self.account(owner)
        if account.balance < 0:
            raise BankError(f"{owner} is overdrawn")
        rest = account.balance
        if rest:
            self._book(account, "closing", -rest)
        account.is_closed = True
        return rest

    def statement(self, owner: str, last: int = 3) -> list[str]:
        """The last entries with the balance after each, the newest first."""
        lines, balance = [], 0
        for what, cents in self.account(owner).entries:
            balance += cents
            lines.append(f"{what} {cents:+d} = {balance}")
        return lines[::-1][:last]

    def total(self) -> int:
        """What the bank owes all its customers together; overdrawn accounts do not count."""
        return sum(max(0, account.balance) for account in self.accounts.values())

    def _check(self, cents: int) -> None:
        if cents <= 0:
            raise BankError("an amount is positive")

    def _book(self, account: Account, what: str, cents: int) -> None:
        account.balance += cents
        account.entries.append((what, cents))
