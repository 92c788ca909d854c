"""The table of what each rule is compared with, the libraries' adapters, and the paths recorded from them."""
