"""python -m fermodels.data.synthetic --sheet docs/synthetic.png"""

import sys

from fermodels.data.synthetic.sheet import main

sys.exit(main())
