import os
import unittest
import urllib.request

from greet import greet


class Greeting(unittest.TestCase):
    def test_names_who_asks(self):
        self.assertEqual(greet("Ada"), "Hello, Ada!")

    def test_greets_nobody_in_particular(self):
        self.assertEqual(greet("  "), "Hello!")

    @unittest.skipUnless("SITE" in os.environ, "no server")
    def test_site_greets(self):
        with urllib.request.urlopen(os.environ["SITE"] + "/index.html", timeout=5) as page:
            self.assertIn(b"Hello", page.read())


if __name__ == "__main__":
    unittest.main()
