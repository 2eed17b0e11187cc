"""What ``bank`` promises."""

import unittest

from agentsd_envs.repo.projects.bank import Bank, BankError


def two(fee: int = 0, limit: int = 0) -> Bank:
    """Ann with 1000 and Bob with nothing."""
    bank = Bank(fee)
    bank.open("ann", limit)
    bank.open("bob")
    bank.deposit("ann", 1000)
    return bank


class BankTest(unittest.TestCase):
    def test_takes_deposits(self) -> None:
        bank = two()
        self.assertEqual([bank.deposit("ann", 5), bank.deposit("bob", 7)], [1005, 7])

    def test_refuses_amounts_that_are_not_positive(self) -> None:
        for cents in (0, -5):
            with self.assertRaises(BankError):
                two().deposit("ann", cents)
        with self.assertRaises(BankError):
            two().withdraw("ann", 0)

    def test_refuses_a_second_account_and_a_negative_limit(self) -> None:
        with self.assertRaises(BankError):
            two().open("ann")
        with self.assertRaises(BankError):
            two().open("eve", -1)

    def test_refuses_people_without_an_account(self) -> None:
        with self.assertRaises(BankError):
            two().deposit("eve", 1)
        with self.assertRaises(BankError):
            two().transfer("ann", "eve", 1)

    def test_pays_out_down_to_zero(self) -> None:
        bank = two()
        self.assertEqual(bank.withdraw("ann", 1000), 0)
        with self.assertRaises(BankError):
            bank.withdraw("ann", 1)

    def test_pays_out_down_to_the_limit(self) -> None:
        bank = two(limit=200)
        self.assertEqual(bank.withdraw("ann", 1200), -200)
        with self.assertRaises(BankError):
            bank.withdraw("ann", 1)

    def test_moves_money(self) -> None:
        bank = two()
        self.assertEqual(
            [bank.transfer("ann", "bob", 300), bank.transfer("bob", "ann", 100)], [0, 1]
        )
        self.assertEqual([bank.account(o).balance for o in ("ann", "bob")], [800, 200])

    def test_charges_the_payer_a_fee(self) -> None:
        bank = two(fee=10)
        bank.transfer("ann", "bob", 300)
        self.assertEqual([bank.account(o).balance for o in ("ann", "bob")], [690, 300])

    def test_refuses_transfers_that_the_fee_makes_too_large(self) -> None:
        bank = two(fee=10)
        with self.assertRaises(BankError):
            bank.transfer("ann", "bob", 991)
        self.assertEqual([bank.transfer("ann", "bob", 990), bank.account("ann").balance], [0, 0])

    def test_changes_nothing_when_it_refuses(self) -> None:
        bank = two()
        with self.assertRaises(BankError):
            bank.transfer("bob", "ann", 1)
        with self.assertRaises(BankError):
            bank.transfer("ann", "ann", 1)
        self.assertEqual([bank.account("ann").balance, bank.transfers], [1000, []])

    def test_reverses_a_transfer_once(self) -> None:
        bank = two(fee=5)
        number = bank.transfer("ann", "bob", 100)
        bank.reverse(number)
        self.assertEqual([bank.account(o).balance for o in ("ann", "bob")], [995, 0])
        with self.assertRaises(BankError):
            bank.reverse(number)

    def test_refuses_reversals_that_cannot_be_paid(self) -> None:
        bank = two()
        number = bank.transfer("ann", "bob", 100)
        bank.withdraw("bob", 1)
        with self.assertRaises(BankError):
            bank.reverse(number)
        for missing in (1, -1):
            with self.assertRaises(BankError):
                bank.reverse(missing)

    def test_pays_interest_rounded_down(self) -> None:
        bank = two(limit=500)
        bank.deposit("bob", 199)
        self.assertEqual(bank.add_interest(150), 17)
        self.assertEqual([bank.account(o).balance for o in ("ann", "bob")], [1015, 201])

    def test_pays_no_interest_on_debts(self) -> None:
        bank = two(limit=500)
        bank.withdraw("ann", 1400)
        self.assertEqual([bank.add_interest(1000), bank.account("ann").balance], [0, -400])

    def test_closes_accounts(self) -> None:
        bank = two()
        self.assertEqual([bank.close("ann"), bank.close("bob"), bank.total()], [1000, 0, 0])
        with self.assertRaises(BankError):
            bank.deposit("ann", 1)

    def test_refuses_to_close_overdrawn_accounts(self) -> None:
        bank = two(limit=500)
        bank.withdraw("ann", 1100)
        with self.assertRaises(BankError):
            bank.close("ann")

    def test_writes_statements_with_the_newest_first(self) -> None:
        bank = two(fee=2)
        bank.transfer("ann", "bob", 40)
        bank.withdraw("ann", 8)
        self.assertEqual(
            bank.statement("ann"), ["withdrawal -8 = 950", "fee -2 = 958", "to bob -40 = 960"]
        )
        self.assertEqual(bank.statement("ann", last=1), ["withdrawal -8 = 950"])
        self.assertEqual(bank.statement("bob"), ["from ann +40 = 40"])

    def test_sums_what_it_owes(self) -> None:
        bank = two(limit=500)
        bank.transfer("ann", "bob", 1200)
        self.assertEqual(bank.total(), 1200)
