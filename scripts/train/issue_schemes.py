"""What plates say: texts by the schemes in which states and countries issue them (public knowledge), and choices of people.

In a scheme L is a letter, D a digit, V a text of the owner's choice; `-`, ` ` and `.` separate groups; `*` is where a seal, a shield or a graphic
stands; `/` begins the second line of a plate of two lines. Other characters stand for themselves after a `=` (`=R=K` is RK).
"""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS = "0123456789"

# state: (name as printed, schemes, slogans)
US_STATES = {
    "AL": ("Alabama", ["DLDDDDD", "DLLDDDD", "DDLDDDD", "DLDDDDL"], ["Heart of Dixie", "Sweet Home"]),
    "AK": ("Alaska", ["LLL*DDD", "LLL DDD"], ["The Last Frontier"]),
    "AZ": ("Arizona", ["LLLDDDD", "DDD*LLL", "LLLDLL", "LDDDDD"], ["Grand Canyon State"]),
    "AR": ("Arkansas", ["DDD LLL", "LLL DDD", "LLL DDL"], ["The Natural State"]),
    "CA": ("California", ["DLLLDDD", "DLLLDDD", "DLLLDDD", "DLDDDDD", "DDDDDLD", "LLLDDDL"], ["dmv.ca.gov", ""]),
    "CO": ("Colorado", ["DDD*LLL", "LLL*DDD", "LLL DDD", "LL-DDDD"], ["", "Colorful"]),
    "CT": ("Connecticut", ["DDD*LLL", "LL*DDDDD", "DLL LLD"], ["Constitution State"]),
    "DE": ("Delaware", ["DDDDDD", "DDDDD"], ["The First State"]),
    "DC": ("Washington, D.C.", ["LL*DDDD", "DDD*DDD"], ["Taxation Without Representation", "Celebrate & Discover"]),
    "FL": ("Florida", ["LLL*DDD", "LDD*DLL", "DDD*LLL", "LDDD*LL", "LLLL DD"], ["Sunshine State", "MyFlorida.com", "In God We Trust"]),
    "GA": ("Georgia", ["LLL*DDDD", "LLL DDDD"], ["Peach State", "Fulton", "Cobb", "In God We Trust"]),
    "HI": ("Hawaii", ["LLL DDD", "LL DDD", "DDDDDD"], ["Aloha State"]),
    "ID": ("Idaho", ["DL LDDDD", "DLLDDDD", "L DDDDDD", "DL DDDDD"], ["Famous Potatoes", "Scenic"]),
    "IL": ("Illinois", ["LDD DDDD", "DDD DDDD", "LL DDDDD", "L DDDDDD"], ["Land of Lincoln"]),
    "IN": ("Indiana", ["DDDLLL", "DDD LL", "DDDDDDD", "LLL DDD", "DDD*LLL"], ["Bicentennial", "In God We Trust", "Amber Waves of Grain"]),
    "IA": ("Iowa", ["DDD LLL", "LLL DDD"], ["Polk", "Linn", "Johnson"]),
    "KS": ("Kansas", ["DDD LLL", "LLL DDDD"], ["Ad Astra"]),
    "KY": ("Kentucky", ["DDD*LLL", "DDD LLL"], ["Unbridled Spirit", "Bluegrass State"]),
    "LA": ("Louisiana", ["LLL*DDD", "DDD*LLL", "LDDDDDD", "LLLDD"], ["Sportsman's Paradise", "Bayou State"]),
    "ME": ("Maine", ["DDDD*LL", "DDD*LLL", "DDDD LL"], ["Vacationland"]),
    "MD": ("Maryland", ["DLL*DDDD", "LLL*DDD", "DLLDD", "DDL*DDD"], ["www.maryland.gov", "Chesapeake"]),
    "MA": ("Massachusetts", ["DLL DDD", "DDD LLD", "DDDD LL", "DDL LDD", "LL DDDL"], ["The Spirit of America"]),
    "MI": ("Michigan", ["LLL DDDD", "DLLL DD", "DLL LDD"], ["Pure Michigan", "Great Lakes", "World's Motor Capital"]),
    "MN": ("Minnesota", ["LLL-DDD", "DDD-LLL", "DDD*LLL"], ["10,000 Lakes", "Explore"]),
    "MS": ("Mississippi", ["LLL DDD", "LLL*DDD"], ["Hinds", "Rankin", "Hospitality State"]),
    "MO": ("Missouri", ["LLD*LDL"] * 6 + ["DLL*DDD", "DLDDDD", "LLD LDL", "DDD*LLL"], ["Show-Me State", "Bicentennial"]),
    "MT": ("Montana", ["DDDDDDL", "D DDDDDL", "DD DDDDL"], ["Treasure State", "Big Sky"]),
    "NE": ("Nebraska", ["LLL*DDD", "DD LDDD", "DDL DDD"], ["Cornhusker State"]),
    "NV": ("Nevada", ["DDD*LLL", "DDL*DDD", "LLL DDD"], ["The Silver State"]),
    "NH": ("New Hampshire", ["DDD DDDD", "DDDDDDD"], ["Live Free or Die"]),
    "NJ": ("New Jersey", ["LLL*DDL", "LDD*LLL", "LL*DDDL", "LDD-LLL"], ["Garden State"]),
    "NM": ("New Mexico", ["LLL*DDD", "DDD*LLL", "LLLDDD"], ["Land of Enchantment"]),
    "NY": ("New York", ["LLL*DDDD", "LLL DDDD"], ["The Empire State", "Empire State", "Excelsior"]),
    "NC": ("North Carolina", ["LLL-DDDD", "LLL DDDD"], ["First in Flight", "First in Freedom"]),
    "ND": ("North Dakota", ["LLL DDD", "DDD LLL"], ["Peace Garden State", "Legendary"]),
    "OH": ("Ohio", ["LLL DDDD", "LL DDLL", "DDDLLL"], ["Birthplace of Aviation", "Beautiful", "The Heart of It All!"]),
    "OK": ("Oklahoma", ["DDD*LLL", "LLL*DDD", "LLL DDD"], ["Native America", "Explore"]),
    "OR": ("Oregon", ["DDD*LLL", "LLL*DDD"], ["", "Pacific Wonderland"]),
    "PA": ("Pennsylvania", ["LLL DDDD", "LLL*DDDD"], ["visitPA.com", "Keystone State"]),
    "RI": ("Rhode Island", ["LL-DDD", "DDDDDD", "LLDDD"], ["Ocean State"]),
    "SC": ("South Carolina", ["LLL DDD", "DDD LLL", "DDDD LL"], ["While I Breathe, I Hope", "Smiling Faces. Beautiful Places."]),
    "SD": ("South Dakota", ["DLLDDD", "DDL DDD", "LLDDDD"], ["Great Faces. Great Places."]),
    "TN": ("Tennessee", ["DDD*LLL", "LDD*DDL", "LLL DDDD"], ["The Volunteer State", "tnvacation.com"]),
    "TX": ("Texas", ["LLL*DDDD", "LLDDLDD", "LLD*LDDD", "LLL DDD", "LLL*DDDD"], ["The Lone Star State"]),
    "UT": ("Utah", ["LDDDLL", "DDD LLL", "LDD DLL"], ["Life Elevated", "Greatest Snow on Earth"]),
    "VT": ("Vermont", ["LLL DDD", "DDDDD"], ["Green Mountain State"]),
    "VA": ("Virginia", ["LLL-DDDD", "LLL DDDD", "DDDDLL", "DDD*DDD"], ["400th Anniversary", "Virginia is for Lovers"]),
    "WA": ("Washington", ["DDD-LLL", "LLLDDDD", "LLL DDDD"], ["Evergreen State"]),
    "WV": ("West Virginia", ["DLDDDD", "DL DDDD", "LL DDDD"], ["Wild, Wonderful"]),
    "WI": ("Wisconsin", ["DDD-LLL", "LLL-DDDD", "LL DDDDL"], ["America's Dairyland"]),
    "WY": ("Wyoming", ["DD*DDDD", "D*DDDDD", "DD*DDDL"], ["Equality State", ""]),
}
# How often a state is drawn: about its share of vehicles on the road, evened out.
US_WEIGHTS = {"CA": 7, "TX": 6, "FL": 4, "NY": 4, "MO": 4, "PA": 3, "OH": 3, "IL": 3, "GA": 3, "NC": 3, "MI": 3, "NJ": 2, "VA": 2, "WA": 2, "AZ": 2, "IN": 2}

# country: (letters of the band, letters never issued, schemes, width of the plate in mm, look)
EUROPE = {
    "SK": ("SK", "", ["LL*DDDLL"] * 5 + ["LL-DDDLL", "LL DDDLL", "LL*VVVVV"], "shield"),
    "CZ": ("CZ", "GOQW", ["DLD*DDDD"] * 4 + ["DL*DDDDD", "DLL*DDDD", "LLL*DD-DD", "LLLDDDD"], "seals"),
    "PL": ("PL", "Q", ["LL*DDDDD", "LLL*DDDD", "LL DDDDL", "LLLDDLL", "LL DDDLL", "L DDDDD"], "sticker"),
    "DE": ("D", "", ["L*LDDDD", "L*LLDDD", "LL*LLDDD", "LL*LDDDD", "LLL*LLDD", "LLL*LDDD", "LL*LLDD", "L*LLDDDD", "LLL*LDD", "L*DDDD", "LL*LLDDDL"], "seals"),
    "AT": ("A", "", ["L*DDDDLL", "LL*DDDLL", "L*DDDDDL", "LL DDDDL", "LL*LLLLD"], "bars"),
    "HU": ("H", "", ["LLL*DDD", "LLL-DDD", "LL LL*DDD"], "plain"),
    "RO": ("RO", "Q", ["L DD LLL", "LL DD LLL", "L DDD LLL", "LL DDLLL", "L DDDDDD"], "plain"),
    "BG": ("BG", "DFGIJLNQRSUVWZ", ["LL DDDD LL", "L DDDD LL", "LDDDDLL"], "plain"),
    "FR": ("F", "IOU", ["LL-DDD-LL"], "twoband"),
    "IT": ("I", "IOQU", ["LL DDDLL", "LL*DDDLL"], "twoband"),
    "ES": ("E", "AEIOUQ", ["DDDD LLL", "DDDDLLL"], "plain"),
    "PT": ("P", "", ["LL-DD-LL", "DD-LL-DD", "DD-DD-LL"], "plain"),
    "NL": ("NL", "AEIOU", ["LL-LLL-D", "D-LLL-DD", "DD-LL-LL", "LL-DDD-L", "L-DDD-LL", "DD-LLL-D"], "yellow"),
    "BE": ("B", "", ["D-LLL-DDD", "LLL-DDD"], "red"),
    "LU": ("L", "", ["LL DDDD", "LL-DDDD"], "yellow"),
    "GB": ("GB", "IQ", ["LLDD LLL"] * 4 + ["LDDD LLL", "LDD LLL", "LLL DDDL"], "british"),
    "IE": ("IRL", "", ["DD-L-DDDD", "DDD-L-DDDDD", "DD-LL-DDDD", "DDD-L-DDDD"], "plain"),
    "DK": ("DK", "IOQ", ["LL DD DDD", "LL DDDDD"], "redframe"),
    "SE": ("S", "IQV", ["LLL DDD", "LLL DDL"], "plain"),
    "NO": ("N", "GIMOQ", ["LL DDDDD"], "plain"),
    "FI": ("FIN", "", ["LLL-DDD", "LL-DDD"], "plain"),
    "EE": ("EST", "", ["DDD LLL"], "plain"),
    "LV": ("LV", "", ["LL-DDDD", "LL-DDD"], "plain"),
    "LT": ("LT", "", ["LLL DDD", "LLL:DDD"], "sticker"),
    "SI": ("SLO", "", ["LL*LL-DDD", "LL*DD-LLL", "LL*DLDDD", "LL*DDDLL"], "shield"),
    "HR": ("HR", "", ["LL*DDDLL", "LL*DDDDLL", "LL*DDD-LL", "LL*DDDD-L"], "shield"),
    "RS": ("SRB", "", ["LL*DDD-LL", "LL*DDDD-LL"], "shield"),
    "BA": ("BIH", "", ["LDD-L-DDD"], "plain"),
    "UA": ("UA", "", ["LL DDDD LL"], "plain"),
    "CH": ("", "", ["LL*DDDDDD", "LL*DDDDD", "LL DDDDDD"], "shield"),
    "TR": ("TR", "Q", ["DD LLL DD", "DD LL DDD", "DD LLL DDD", "DD L DDDD"], "plain"),
    "GR": ("GR", "CDFGJLQRSUVW", ["LLL-DDDD"], "plain"),
    "AL": ("AL", "", ["LL DDDLL", "LL*DDDLL"], "twoband"),
    "MK": ("MK", "", ["LL*DDDDLL"], "shield"),
    "MD": ("MD", "", ["LLL DDD", "L LL DDD"], "plain"),
}
EUROPE_WEIGHTS = {"SK": 5, "CZ": 4, "DE": 4, "RO": 4, "PL": 3, "GB": 3, "FR": 3, "IT": 2, "ES": 2, "AT": 2, "HU": 2, "NO": 2, "NL": 2}

# What the reader may say of a plate's jurisdiction by its looks: nothing, some US state, a country.
JURISDICTIONS = ["", "US", "BR", "AR", *EUROPE]

BRAZILIAN_TOWNS = [
    "BA-SALVADOR", "SP-SAO PAULO", "RJ-RIO DE JANEIRO", "MG-BELO HORIZONTE", "PR-CURITIBA", "BA-CAMACARI", "BA-LAURO DE FREITAS", "ES-VITORIA", "GO-GOIANIA",
    "RS-PORTO ALEGRE", "PE-RECIFE", "CE-FORTALEZA", "SC-FLORIANOPOLIS", "DF-BRASILIA", "SP-CAMPINAS", "PA-BELEM", "AM-MANAUS", "BA-SIMOES FILHO", "SP-SANTOS",
    "MG-UBERLANDIA", "RN-NATAL", "PB-JOAO PESSOA", "MT-CUIABA", "AL-MACEIO", "SE-ARACAJU", "BA-FEIRA DE SANTANA", "MG-MONTES CLAROS", "PR-LONDRINA",
]

DEALERS = [
    "AUTO MOBIL", "LOU FUSZ", "SUNTRUP FORD", "TOYOTA OF BERKELEY", "HONDA", "TOYOTA", "WORLD FORD", "JIM BUTLER", "BOMMARITO", "AUTOHAUS", "SKODA", "MERCEDES-BENZ",
    "VOLKSWAGEN", "UNICAR", "PORSCHE", "BMW", "AUTO GAMMA BRNO", "SLOVENSKA REPUBLIKA", "CESKA REPUBLIKA", "DEUTSCHLAND", "CHEVROLET", "FORD", "NISSAN", "HYUNDAI",
    "DAVE SINCLAIR", "LEGENDS", "ALUMNI", "UNIVERSITY OF", "STATE", "FIGHTING TIGERS", "PLAZA MOTORS", "(314) 555-0148", "WWW.AUTO.COM", "AUTO CENTER", "MAZDA", "KIA",
    "SUBARU", "PREMIUM CARS", "LEXUS", "ACURA", "MY OTHER CAR", "REDWOOD CITY", "STEVENS CREEK", "BOARDWALK", "MOTORS", "USED CARS", "DRIVE SAFE", "PROUD PARENT",
]

_ONSETS = "B C D F G H J K L M N P R S T V W Y Z BR CH CL CR DR FL FR GR PL PR SH SL SN ST TR TH".split()
_VOWELS = "A E I O U A E I O U OO EE AY Y".split()
_CODAS = "N R S T L M K D X Z NG CK ST RD LL SS".split()
_WORDS = (
    "GO GR8 LUV 4EVER 4U 2FAST SPEED RUNNER BOAT GOLF SKI BIKE CAR DAD MOM KING QUEEN LADY BOSS MR MS DR JOHN MIKE ANNA LISA KATE TOM JIM BOB SUE JEN AMY MAX "
    "SUN SKY BLUE RED TIGER EAGLE WOLF BEAR DUKE NAVY ARMY USA 1ST NO1 FUN BEACH SURF ROCK JAZZ PLAY WIN LUCKY HAPPY SMILE CEMENT TRUCK JEEP VETTE STANG BEEMER BIMMER "
    "GWAGEN TURBO HEMI V8 GT RS XTC H2O ZOOM VROOM MINE YOURS ITS MY BABY TOY"
).split()

# Texts of people's choice follow no scheme: this share of US plates, where they are common, and of the others.
CHOSEN_SHARE_US = 0.14
CHOSEN_SHARE_ELSEWHERE = 0.03


def chosen_text(rng, longest=7):
    """A text as people choose it, A-Z and 0-9, 2 to `longest` characters."""
    for _ in range(50):
        kind = rng.random()
        if kind < 0.35:
            text = rng.choice(_WORDS) + rng.choice(["", "", rng.choice(_WORDS), rng.choice(DIGITS), str(rng.randrange(10, 99))])
        elif kind < 0.75:
            text = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(rng.randrange(1, 4))) + rng.choice(["", rng.choice(_CODAS)])
            if rng.random() < 0.25:
                text += rng.choice(DIGITS)
        else:
            text = "".join(rng.choice(LETTERS + DIGITS) for _ in range(rng.randrange(3, longest + 1)))
        if 2 <= len(text) <= longest:
            return text
    return "CHOSEN"[:longest]


def fill(scheme, rng, never=""):
    """A text of a scheme, its separators kept."""
    letters = [letter for letter in LETTERS if letter not in never]
    out = []
    for character in scheme:
        if character in "LV":
            out.append(rng.choice(letters))
        elif character == "D":
            out.append(rng.choice(DIGITS))
        else:
            out.append(character)
    return "".join(out)
