"""python -m fermodels.data.synthetic --sheet docs/synthetic.png"""

from fermodels.data.synthetic.sheet import main

main()
